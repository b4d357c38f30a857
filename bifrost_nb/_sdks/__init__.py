"""Other SDKs through the gateway, recorded in the same run log.

`httpx_clients`, `boto3_client` and `factory` hold what users call.
"""

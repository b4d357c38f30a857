"""Other SDKs through the gateway, recorded in the same run log: `clients` (httpx), `boto` and `sdk` are for users."""

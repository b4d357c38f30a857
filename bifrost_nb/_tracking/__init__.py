"""What was recorded, handed to other people's systems: OpenTelemetry and MLflow."""

"""OpenTelemetry traces and metrics of Saros."""

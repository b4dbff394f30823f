"""Object stores and servers (s3://, sftp:// ...): pictures fetched from one, and runs mirrored to one."""

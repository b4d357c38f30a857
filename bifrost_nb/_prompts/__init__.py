"""What is sent: templates, the rows that fill them, conversations and pictures. Sends nothing itself."""

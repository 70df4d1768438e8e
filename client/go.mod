module defenseclaw/client

go 1.24.0

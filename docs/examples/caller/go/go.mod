module ask

go 1.24.0

require defenseclaw/client v0.0.0

replace defenseclaw/client => ../../../../client

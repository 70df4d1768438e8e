module defenseclaw

go 1.26

package defenseclaw.firewall

default action := "deny"

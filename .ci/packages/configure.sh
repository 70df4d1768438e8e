# The user, the data directory and the rights of config.yaml. What exists already stays as it is.
systemd-sysusers defenseclaw.conf
systemd-tmpfiles --create defenseclaw.conf
if [ -f /etc/defenseclaw/config.yaml ] && [ "$(stat -c %G /etc/defenseclaw/config.yaml)" = root ]; then
	chgrp defenseclaw /etc/defenseclaw/config.yaml
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	# Nothing is started that did not run.
	systemctl try-restart defenseclaw-gateway.service || true
fi

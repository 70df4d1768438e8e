if [ -d /run/systemd/system ]; then
	systemctl --no-reload disable --now defenseclaw-gateway.socket defenseclaw-gateway.service || true
else
	rm -f /etc/systemd/system/multi-user.target.wants/defenseclaw-gateway.service /etc/systemd/system/sockets.target.wants/defenseclaw-gateway.socket
fi

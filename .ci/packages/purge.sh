# What is the user's stays: policies, and in the data directory tokens, audit log and history.
if [ -L /var/lib/defenseclaw/config.yaml ]; then rm -f /var/lib/defenseclaw/config.yaml; fi
for directory in /etc/defenseclaw/policies /etc/defenseclaw /var/lib/defenseclaw; do
	if [ -d "$directory" ]; then
		rmdir "$directory" 2>/dev/null || echo "defenseclaw: $directory is kept, since it has files in it: remove it by hand if nobody needs them" >&2
	fi
done

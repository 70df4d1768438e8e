package settings

// AccessLog are the settings of the access log.
type AccessLog struct {
	File      string // empty: off; AccessToStdout: standard output
	Sample    float64
	Megabytes int
	Backups   int
}

// AccessToStdout is the file that stands for standard output.
const AccessToStdout = "-"

func accessLog(a *AccessLog) []Setting {
	return []Setting{
		{
			Flag: "access-log", Env: "DEFENSECLAW_ACCESS_LOG", Key: "access_log.file", value: fileOrDash(&a.File),
			Help: "write a line of JSON for each request to `FILE`, which is rotated when it grows large, or to standard output for -; without tokens, queries and bodies",
		},
		{
			Flag: "access-log-sample", Env: "DEFENSECLAW_ACCESS_LOG_SAMPLE", Key: "access_log.sample", Default: "1", value: share(&a.Sample),
			Help: "write this `SHARE` of the requests, and all that end with 500 or above: 0.01 is one in a hundred",
		},
		{
			Key: "access_log.file_max_megabytes", Default: "100", value: positive(&a.Megabytes, "a number"),
			Help: "rotate the file of the access log above this many MB",
		},
		{
			Key: "access_log.file_backups", Default: "5", value: positive(&a.Backups, "a number"),
			Help: "number of rotated files of the access log to keep",
		},
	}
}

func fileOrDash(field *string) value {
	return value{set: func(f found) error {
		*field = f.text
		if f.text != AccessToStdout {
			*field = f.resolvePath(f.text)
		}
		return nil
	}}
}

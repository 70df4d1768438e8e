package fleet

// The files in the directory of a broker of this program, beside those of JetStream.
const (
	UsersFile     = "users"        // see access.ParseUsers
	PublisherFile = "publisher.nk" // the credentials of the first user
)

// BrokerConfig is what package broker is given: where a broker listens, and what it keeps. It stands here because programs
// without a broker have the command as well.
type BrokerConfig struct {
	Addr    string // HOST:PORT; port 0 takes a free one
	Dir     string // made if it is not there
	TLSCert string // PEM files; both or none
	TLSKey  string
	Domain  string // of JetStream; empty: none

	// Ready is called once with the URL, when streams are there and clients are served.
	Ready func(url string)
	// Log is called with warnings and errors of the server, one line each, from several goroutines.
	Log func(line string)
}

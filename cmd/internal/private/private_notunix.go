//go:build !unix

package private

// Check passes everything: permissions are not in the mode here.
func Check(string) error { return nil }

// ReadByOthers reports nothing: permissions are not in the mode here.
func ReadByOthers(string) bool { return false }

// Adopt does nothing: files have no owner of this kind here.
func Adopt(string) error { return nil }

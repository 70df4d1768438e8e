package jsonast

// ParseListing is [Parse], but keeps the members of all objects and arrays whose text is so large.
func ParseListing(text []byte, previous *Document, listed int) (*Document, error) {
	return parse(text, previous, listed)
}

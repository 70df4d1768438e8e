package jsonast

// ParseListing is [Parse], but keeps the members of all objects and arrays from minListed bytes on.
func ParseListing(text []byte, previous *Document, minListed int) (*Document, error) {
	return parse(text, previous, minListed)
}

package extauthz

// Input is what the policy sees of a request.
var Input = input

// Package tiledesktest is a Tiledesk stand-in: an http.Handler that answers as tiledesk-server 2.19.16 does, silent
// fallbacks and error bodies included, over documents in memory. HTTP calls go in, from a client under test or from the
// demo; the bodies that the real server would send come out, as late, as wrong or as slow as the test asks for.
//
// A Server begins with one project that has an owner, an agent, the default department and the identity bot. Tests fill
// it through the REST API, as they would the real one, or with Project.Put, which takes any document with any times.
// NewSample gives a server with a believable world in it, for the demo.
//
// The contract suite in contract_test.go holds the stand-in and the real server to the same answers.
package tiledesktest

// Package ops is what every program of Tilestream needs around its work: settings come in from the environment, a context
// that ends with a signal goes out; logs, health and the exit code tell how it went.
package ops

// Package load plays a company's morning against a running service: people submit when they come to work, whether or not the service keeps up
// (an open loop), and every time counts from when a submission was due, so that a stall is not hidden by those that it kept from being sent
// (coordinated omission). It also works out what such a morning costs: machines and money from the measured cost of a clip.
//
// It knows no HTTP and no store: what it plays against is an interface that the command line implements.
package load

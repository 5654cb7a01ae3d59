// Package client speaks to the HTTP API: the command line uses it, and whatever measures or tests a running service.
//
// It imports nothing of the server, only the words of package pipeline: what it knows of the API stands in the API's description
// (/openapi.json), and fields that it does not know are ignored. Nothing in it logs; errors hold no keys.
package client

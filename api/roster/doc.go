// Package roster reads lists of people for an enrolment in bulk: CSV with a header, or NDJSON. The API and the command line read the same
// lists with it. It imports nothing but the words of package pipeline; the bytes are hostile.
package roster

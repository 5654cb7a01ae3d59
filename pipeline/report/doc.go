// Package report shows a verdict to people: Write makes one self-contained HTML page with the pictures inside, Table a plain text for
// the terminal.
//
// The page asks nothing of any network: style and script stand inside and are pinned by their hashes in its content security policy,
// pictures are data URIs. Everything in it that came from outside (file names, text read from signs, job names) is escaped, and
// characters that would hide or turn text around are made visible. Both languages are in the page; a switch without script shows one.
//
// It imports packages pipeline and policy for words, and a library that measures and breaks lines of text. It gets finished JPEGs and
// decodes nothing; other people must be blurred in them before.
package report

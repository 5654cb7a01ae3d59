// Package pipeline holds the words of the verification core: what comes in (Submission, Site, Media), what each check answers
// (Check, Finding, Evidence), what goes out (Verdict, Reason), and the interfaces that the core needs from outside (Media, History).
//
// It knows no queue, no HTTP, no database and no pixels: its sub-packages do the work and package verify runs them. It may import
// nothing but the standard library, so that every other room can speak its words.
package pipeline

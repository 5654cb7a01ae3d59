// Package challenge asks a person to do something in the next recording that nobody could know before (turn the head, nod, close the eyes
// twice, say digits, show a code), and looks whether that was done.
//
// Drawing and judging are pure functions: what was drawn comes back with the submission's stored challenge, and what was seen (directions of
// the head, eyes, voice, words, text) is given by package verify as plain numbers. It knows no pixels, no models and no store. It may import
// package pipeline for its words and package speech, which compares digits by their sound.
package challenge

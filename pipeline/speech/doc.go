// Package speech answers whether somebody speaks in a clip, whether the mouth in view moves while they do, and whether wanted words are said.
//
// Voice is found by the Silero model (package models), words come from a transcriber that a company may install; without one they are
// not_checked. Words are compared by sound: Chinese by pinyin without tones, digits however they are spoken. What was said is never kept:
// a verdict names the wanted words that were heard and the times at which somebody speaks, nothing else.
//
// It is given sound and the opening of a mouth over time as plain numbers, and knows no pixels. It may import pipeline for its words and
// the libraries that read Chinese; the models come in through the interface Models.
package speech

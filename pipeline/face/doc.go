// Package face answers "is this the enrolled person?": it finds every face of a clip or photo, follows faces over the frames, decides
// who the person in front is, and compares that person with one to five enrolled photos.
//
// The order is detect (whole picture, and tiles where small faces may hide), 68 landmarks, five points, similarity transform to the
// 112 x 112 template, quality, tracks, embedding of the few best frames, and one quality-weighted comparison of the whole track: no
// single frame of a clip decides. Nothing about other people leaves memory; Found.Others gives their boxes for blurring.
//
// It may import gocv (pixel work), package pipeline for its words, package pipeline/media for frames and package models for byte views;
// the models come in through the interface Models. It opens no files and knows no policy: thresholds are in Config, and their
// calibration is told there.
package face

// Package bench measures the verification core: what each stage of a clip costs against its budget and against bare libraries, and how
// many clips a machine verifies. Accuracy tables live with the checks that they measure.
//
// It may import pipeline/verify and what that imports. Times come from the thread clocks of the stages and the child's own usage, all in
// one run on the same cores; nothing here asserts a time.
package bench

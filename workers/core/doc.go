// Package core runs the verification core for the service: it brings together what the store and the vault hold of a job (media, person,
// site, policy, earlier footage), runs pipeline/verify, and gives what is to be written. It also looks at photos and sites before they
// are enrolled, and compares finished jobs with footage that came late.
//
// It decides nothing about retries (package workers does, from the error's type), writes no verdict itself but revisions, and keeps
// between jobs only what is dear to make: prepared sites, parsed policies, and read fingerprints, all bounded and forgotten when unused.
// No face, template, name or label leaves it unsealed.
//
// It may import results and its packages, pipeline, models; nothing of the queue, the API or the rest of package workers.
package core

// Package report writes what others found for people to read, as one page of HTML
// that needs nothing else: no network, no other file.
//
//	err := report.Explanation{Title: "web.yaml", Phases: phases, Calls: calls}.WriteHTML(w)
package report

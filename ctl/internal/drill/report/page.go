package report

import (
	"bytes"
	_ "embed"
	"html/template"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pageSection is what the page shows of a section.
type pageSection struct {
	Name, Title, Machine, When, Rate string
	OK                               bool
	Findings                         table
	Pictures                         []template.HTML
	Scales                           []pageScale
	Sentences                        []string
}

type pageScale struct {
	Name, Meaning string
	Steps         table
}

func newPageSection(s Section, pictures []picture) pageSection {
	r := s.Result
	p := pageSection{
		Name: r.Run.Name, Title: r.Run.Title, Machine: r.Run.Machine,
		When: r.Run.Start.UTC().Format("2 January 2006, 15:04 UTC"), Rate: rates(r.Run.Steps),
		OK: r.Writes.OK(), Sentences: sentences(r),
	}
	if p.Title == "" {
		p.Title = p.Name
	}
	if len(r.Findings) > 0 {
		p.Findings = findingTable(r.Findings)
	}
	for _, picture := range pictures {
		p.Pictures = append(p.Pictures, template.HTML(picture.svg)) // generated here, with every text in it escaped
	}
	for _, scale := range scales(s) {
		p.Scales = append(p.Scales, pageScale{scale.Name, meaning(scale), stepTable(scale.Steps)})
	}
	return p
}

func renderPage(sections []pageSection) ([]byte, error) {
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, map[string]any{"Sections": sections})
	return page.Bytes(), err
}

package mcp

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// dataset is where a client finds what there is to be asked, without a call.
const dataset = "tilestream://dataset"

// addPrompts adds the saved questions, for people to pick, and the page about the dataset.
func (s *Server) addPrompts() {
	for _, q := range s.look.Questions() {
		s.sdk.AddPrompt(&sdk.Prompt{Name: slug(q.Name), Title: q.Name, Description: "From the support conversations in the warehouse."},
			func(context.Context, *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
				text := fmt.Sprintf("%s: answer from the support conversations in the warehouse. Ask with the tool query, beginning with this SQL, and say in a sentence or two what the rows show.\n\n```sql\n%s\n```", q.Name, q.SQL)
				return &sdk.GetPromptResult{Description: q.Name, Messages: []*sdk.PromptMessage{{Role: "user", Content: &sdk.TextContent{Text: text}}}}, nil
			})
	}
	s.sdk.AddResource(&sdk.Resource{Name: "dataset", Title: "The dataset", URI: dataset, MIMEType: "text/markdown", Description: "What each table holds, and questions in SQL that can be asked of them."},
		func(context.Context, *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
			return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: dataset, MIMEType: "text/markdown", Text: s.page()}}}, nil
		})
}

func (s *Server) page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Support conversations\n\n%s\n\n| table | holds | polled every |\n|---|---|---|\n", s.introduction())
	for _, r := range s.look.Resources {
		fmt.Fprintf(&b, "| %s.%s | %s | %s |\n", s.look.Dataset, r.Name, r.Doc(), strings.TrimSuffix(r.Interval.Round(time.Second).String(), "0s"))
	}
	b.WriteString("\n## Questions\n")
	for _, q := range s.look.Questions() {
		fmt.Fprintf(&b, "\n%s:\n\n```sql\n%s\n```\n", q.Name, q.SQL)
	}
	return b.String()
}

// slug is a name of lower-case letters: First response, in minutes is first_response_in_minutes.
func slug(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), "_")
}

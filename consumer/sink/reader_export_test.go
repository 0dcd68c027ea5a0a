package sink

import "context"

// Exec runs a statement as a view runs its questions: to see that it is refused.
func (v *View) Exec(ctx context.Context, statement string) error {
	_, err := v.conn.ExecContext(ctx, statement)
	return err
}

var (
	CanonicalJSON   = canonicalJSON
	CanonicalNumber = canonicalNumber
)

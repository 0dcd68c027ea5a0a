package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	bq "cloud.google.com/go/bigquery"
	"google.golang.org/api/googleapi"
)

// isStatus tells whether BigQuery has answered a request with an HTTP status.
func isStatus(err error, status int) bool {
	var answer *googleapi.Error
	return errors.As(err, &answer) && answer.Code == status
}

// reasonOf is what BigQuery calls an error ("Error messages"), of a request or of a job; "" where it did not answer.
func reasonOf(err error) string {
	var job *bq.Error
	if errors.As(err, &job) {
		return job.Reason
	}
	var answer *googleapi.Error
	if errors.As(err, &answer) && len(answer.Errors) > 0 {
		return answer.Errors[0].Reason
	}
	return ""
}

// bigQueryConflict tells that a transaction was cancelled for the sake of another one ("Multi-statement transactions", "Concurrency"),
// that a statement came upon what another one has just made, or that a table was changed more often than five times in ten seconds
// ("Quotas", "Maximum rate of table metadata update operations per table").
func bigQueryConflict(err error) bool {
	switch reasonOf(err) {
	case "duplicate", "rateLimitExceeded", "jobRateLimitExceeded":
		return true
	}
	said := err.Error()
	return reasonOf(err) != "" && slices.ContainsFunc([]string{"aborted due to concurrent update", "concurrent update", "Already Exists:", "Could not serialize access"},
		func(words string) bool { return strings.Contains(said, words) })
}

// bigQueryAway tells errors that pass when BigQuery or the way to it comes back. A host that does not exist stays so.
func bigQueryAway(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return !dns.IsNotFound
	}
	var dial *net.OpError
	var answer *googleapi.Error
	switch {
	case errors.As(err, &answer):
		return answer.Code >= 500 || answer.Code == http.StatusTooManyRequests
	case errors.As(err, &dial), errors.Is(err, context.DeadlineExceeded):
		return true
	}
	reason := reasonOf(err)
	return reason == "backendError" || reason == "internalError"
}

// explain says what an error of BigQuery, or of the way to it, means and what to do about it; one about values is a *RejectedError.
func (b *bigQuery) explain(err error) error {
	var rejected *RejectedError
	if err == nil || errors.As(err, &rejected) {
		return err
	}
	if bigQueryValues(err) {
		return &RejectedError{Err: err}
	}
	if a := b.advice(err); a != "" {
		return fmt.Errorf("%w: %s", err, a)
	}
	return err
}

// bigQueryValues knows errors that a row brings about. They have the reason of any error in a statement, so it takes words.
func bigQueryValues(err error) bool {
	reason, said := reasonOf(err), err.Error()
	return (reason == "invalidQuery" || reason == "invalid") && slices.ContainsFunc([]string{
		"Invalid input to JSON_", "syntax error while parsing", "Input number", "PARSE_JSON", "Invalid timestamp", "Bad double value", "Error while reading data",
		"Required field", "Cannot insert null", "cannot be null", "larger than the maximum", "Row size is larger", "Invalid UTF-8",
	}, func(words string) bool { return strings.Contains(said, words) })
}

func (b *bigQuery) advice(err error) string {
	said, reason := err.Error(), reasonOf(err)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(said, w) })
	}
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case reason == "quotaExceeded":
		return "a quota of the project is used up, which fills again within the day: raise BATCH_AGE, or have the quota raised (IAM & Admin, Quotas); loading goes on by itself"
	case reason == "bytesBilledLimitExceeded":
		return "the job would be billed for more than maximum_bytes_billed in WAREHOUSE_URL: raise it, or let a table keep less"
	case reason == "billingNotEnabled", reason == "billingTierLimitExceeded", has("Billing has not been enabled", "billing to be enabled"):
		return fmt.Sprintf("enable billing of project %s: without it BigQuery runs no DML", b.project)
	case reason == "accessDenied" && has("API has not been used", "SERVICE_DISABLED"), reason == "accessNotConfigured":
		return fmt.Sprintf("an administrator can: gcloud services enable bigquery.googleapis.com --project=%s", b.project)
	case has("could not find default credentials"):
		return "there is no credential: set GOOGLE_APPLICATION_CREDENTIALS, or credentials=FILE in WAREHOUSE_URL"
	case isStatus(err, http.StatusUnauthorized), reason == "authError", has("invalid_grant", "invalid_client", "oauth2: cannot fetch token"):
		return "the credential is wrong, has expired or was revoked: make a new key of the service account, or log in again with gcloud auth application-default login"
	case isStatus(err, http.StatusForbidden), reason == "accessDenied":
		return fmt.Sprintf("an administrator can: gcloud projects add-iam-policy-binding %[1]s --member=serviceAccount:ACCOUNT --role=roles/bigquery.jobUser; and in BigQuery: CREATE SCHEMA IF NOT EXISTS `%[1]s`.`%[2]s` OPTIONS (location = '%[3]s'); GRANT `roles/bigquery.dataEditor` ON SCHEMA `%[1]s`.`%[2]s` TO 'serviceAccount:ACCOUNT'",
			b.project, b.dataset, cmp.Or(b.location, "LOCATION"))
	case has("_tilestream_") && (reason == "notFound" || isStatus(err, http.StatusNotFound)):
		return "one of Tilestream's own tables was dropped, or location in WAREHOUSE_URL is not the dataset's: the next start makes it again, and loads again what the ledger no longer has"
	case has("was not found in location"):
		return "the table was dropped, or location in WAREHOUSE_URL is not the dataset's: bq show PROJECT:DATASET tells it"
	case has("Not found: Project", "project not found") || isStatus(err, http.StatusNotFound) && has("projects/"):
		return "check the project in WAREHOUSE_URL"
	case errors.As(err, &dns):
		return "check endpoint in WAREHOUSE_URL, and that this machine reaches the internet"
	case errors.As(err, &dial), errors.Is(err, context.DeadlineExceeded):
		return "BigQuery does not answer: check the network, a proxy, and endpoint in WAREHOUSE_URL"
	}
	return ""
}

// Package names is a DNS server for a cluster's names.
package names

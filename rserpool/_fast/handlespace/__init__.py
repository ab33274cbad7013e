"""The handlespace: C records, their trees and hash, the selection policies, and answers copied from encoded runs."""

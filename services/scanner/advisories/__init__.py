"""What is known to be wrong with which versions: OSV records, compiled into one immutable file, mapped read-only.

The way of a record: `sources` reads bytes, `osv` gives them types, `claims` turns them into what each record says
about a package, `merge` makes one vulnerability of all that is said about one CVE, `compile` writes the file,
`files` keeps the data directory and swaps, `shared` keeps nodes at the same file, `database` answers for a
package.
"""

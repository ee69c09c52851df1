"""The memory of a node's voter, on disk: see kvnode.authority.voter_port.VoterStore."""

"""What an instance has, in the words of the reference: namespaces, repositories, tags."""

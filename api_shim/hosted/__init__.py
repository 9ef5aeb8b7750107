"""The hosted form: where the users of a workspace type handle and app password themselves."""

"""A whole deployment on one machine, for whoever plays a story on it or measures it: founding, a broker, processes."""

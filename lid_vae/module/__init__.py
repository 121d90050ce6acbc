"""What is drawn, said and recorded of a model: pictures, texts and loggers."""

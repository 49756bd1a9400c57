/**
 * Checkpoints that TensorFlow wrote: {@code TensorBundle} reads them, {@code BertConversion} makes a Hugging Face folder of one
 * that holds a BERT of Google's. What the files say is checked before anything of that size is allocated.
 */
package io.github.dl4jlora.transformers.tensorflow;

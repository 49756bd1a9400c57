/**
 * Sentence encoders with pretrained weights, read from the files in langchain4j's Maven artifacts: weights, tokenizer, and what
 * else is needed to embed texts as their makers do.
 */
package io.github.dl4jlora.models.encoder;

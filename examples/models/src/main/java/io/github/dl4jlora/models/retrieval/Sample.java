package io.github.dl4jlora.models.retrieval;

/**
 * A query and a document that answers it.
 *
 * @param group what all documents that answer this query have in common, and no others
 */
record Sample(String query, String document, String group) {
}

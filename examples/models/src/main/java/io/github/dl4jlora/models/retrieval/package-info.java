/** Which text answers which? Adapters for retrieval on one all-MiniLM-L6-v2, each trained on a task of its own. */
package io.github.dl4jlora.models.retrieval;

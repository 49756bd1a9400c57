/** Which text answers which? Adapters for retrieval on one sentence encoder, each trained on a task of its own. */
package io.github.dl4jlora.models.retrieval;

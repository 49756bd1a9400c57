/** What of the evidence is about all-MiniLM-L6-v2. */
package io.github.dl4jlora.evidence.minilm;

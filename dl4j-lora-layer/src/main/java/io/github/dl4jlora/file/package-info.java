/** Files of whole networks, and how files are written so that none is ever half-written. Adapter files: {@code adapter}. */
package io.github.dl4jlora.file;
